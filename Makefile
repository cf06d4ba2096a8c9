.PHONY: setup demo test test-slow test-peers check speed
PYTHON = .venv/bin/python
UV = $(shell command -v uv || echo python3 -m uv)
READY = .venv/.ready

setup: $(READY)

$(READY): pyproject.toml requirements.txt
	@command -v uv >/dev/null || python3 -m uv --version >/dev/null 2>&1 || python3 -m pip install --quiet uv
	@test -x $(PYTHON) || $(UV) venv --quiet --python '>=3.11,<3.14' .venv
	$(UV) pip install --quiet --python $(PYTHON) -r requirements.txt -e '.[dev]'
	@touch $@

demo: setup
	.venv/bin/visreason demo

test: setup
	$(PYTHON) -m pytest -q

test-slow: setup
	$(PYTHON) -m pytest -q -m slow

test-peers: setup
	$(UV) pip install --quiet --python $(PYTHON) -r requirements.txt -e '.[peers]'
	$(PYTHON) -m pytest -q -m peers

check: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/pyright

speed: setup
	$(UV) pip install --quiet --python $(PYTHON) -r requirements.txt -e '.[peers]'
	$(PYTHON) speed/update.py
	$(PYTHON) speed/sft.py
	$(PYTHON) speed/engine.py
	$(PYTHON) speed/reward.py
	test ! -f ../shared/cases/answers.jsonl || $(PYTHON) speed/answers.py ../shared/cases/answers.jsonl
