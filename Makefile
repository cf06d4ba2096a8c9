.PHONY: setup setup-vllm demo test test-slow test-vllm test-peers survive check speed speed-gpu published
PYTHON = .venv/bin/python
UV = $(shell command -v uv || echo python3 -m uv)
READY = .venv/.ready

setup: $(READY)

$(READY): pyproject.toml requirements.txt
	@command -v uv >/dev/null || python3 -m uv --version >/dev/null 2>&1 || python3 -m pip install --quiet uv
	@test -x $(PYTHON) || $(UV) venv --quiet --python '>=3.11,<3.14' .venv
	$(UV) pip install --quiet --python $(PYTHON) -r requirements.txt -e '.[dev]'
	@touch $@

# vLLM for a CPU, in an environment of its own; beside a GPU install visreason[vllm] instead.
setup-vllm: .venv-vllm/.ready

.venv-vllm/.ready: pyproject.toml requirements.txt requirements-vllm.txt vllm-overrides.txt
	@command -v uv >/dev/null || python3 -m uv --version >/dev/null 2>&1 || python3 -m pip install --quiet uv
	@test -x .venv-vllm/bin/python || $(UV) venv --quiet --python '>=3.11,<3.14' .venv-vllm
	$(UV) pip install --quiet --python .venv-vllm/bin/python --override vllm-overrides.txt -r requirements.txt \
		-r requirements-vllm.txt -e '.[dev]'
	@touch $@

demo: setup
	.venv/bin/visreason demo

test: setup
	$(PYTHON) -m pytest -q

test-slow: setup  # a quarter of an hour on two cores
	$(PYTHON) -m pytest -q -m slow

test-vllm: setup-vllm
	.venv-vllm/bin/python -m pytest -q -m "vllm and not survive"

test-peers: setup
	$(UV) pip install --quiet --python $(PYTHON) -r requirements.txt -e '.[peers]'
	$(PYTHON) -m pytest -q -m peers

survive: setup setup-vllm
	$(PYTHON) -m pytest -q -m "survive and not vllm"
	.venv-vllm/bin/python -m pytest -q -m "survive and vllm"

check: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/pyright

speed: setup setup-vllm
	$(UV) pip install --quiet --python $(PYTHON) -r requirements.txt -e '.[peers]'
	$(PYTHON) speed/update.py
	$(PYTHON) speed/sft.py
	.venv-vllm/bin/python speed/engine.py
	$(PYTHON) speed/reward.py
	test ! -f ../shared/cases/answers.jsonl || $(PYTHON) speed/answers.py ../shared/cases/answers.jsonl

speed-gpu: setup  # ten minutes at most; without a GPU a tiny shape is tried, and nothing is kept
	@if $(PYTHON) -c "import sys, torch; sys.exit(not torch.cuda.is_available())"; then $(PYTHON) speed/gpu.py; \
	else echo "no GPU here: a tiny shape is tried"; $(PYTHON) speed/gpu.py smoke; fi

published: setup
	$(PYTHON) -m visreason.bench.published ../shared/data runs/published.csv
