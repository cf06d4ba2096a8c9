"""Descriptions in formal languages: what is well formed passes, what is broken is refused, nothing is run."""

import pytest

from visreason.errors import DataError
from visreason.factory.languages import LANGUAGES, MOST_CHARS, check_language

GOOD = {
    "csv": "year,sales\n2020,4\n2021,\"5,5\"",
    "json": '{"bars": {"red": 4}}',
    "matplotlib": "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.bar(['a'], [1])\nplt.show()",
    "html": "<!doctype html><html><body><p>Hi<br><img src=x><ul><li>a<li>b</ul></body></html>",
    "mermaid": "flowchart TD\n  A[Start] --> B{Is it?}\n  B -->|yes| C[End]\n  B -- no --> A\n"
    "  subgraph one\n  C --- D((x))\n  end",
    "plantuml": "@startuml\nstart\nif (ok?) then (yes)\n  :work;\nendif\nstop\n@enduml",
    "spice": "* divider\nV1 in 0 DC 5\nR1 in out 1k\nR2 out 0 2k\n.tran 1m 10m\n.end",
    "lilypond": "\\relative c' { \\time 4/4 c4 d e f | <c e g>2 r2 }",
    "latex": "\\begin{align} x &= \\frac{1}{2} \\end{align}",
    "logic": "Equals(LengthOf(Line(A,B)),2*x+1)\nPerpendicular(Line(A,B),Line(B,C))",
}  # fmt: skip
ALSO_GOOD = [
    ("html", "<div><br/><img src='a.png' /><svg><path d='M0 0'/></svg><input disabled/></div>"),
    ("html", "<!doctype html><html><head><title>x</title></head><body><p>Hi</p>"),
    ("csv", 'name, note\n"a", "b, c"'),
    (
        "matplotlib",
        "from matplotlib import pyplot as plt\nplt.errorbar([1], [2], yerr=[0.1])\nplt.title('$\\sigma$')",
    ),
    ("mermaid", "flowchart\nA[[Sub]] --> B{{Six}}\nB ---> C[(Data)]\nC <--> D([Round]):::cls"),
    (
        "mermaid",
        'graph LR;\n%% a note\nA["x [1] (y)"] -- yes --> B; B -. no .-> C\nclick A "x"\nA & B ==> D>flag]',
    ),
    ("mermaid", "flowchart TB\nnode-1(开始) -->|是| node-2[结束]"),
    ("spice", "A divider\nV1 in 0\n+ DC 5\nR1 in 0 1k ; load\n.control\nrun\nplot v(in)\n.endc\n.end"),
    ("lilypond", "%{ a { comment %}\n\\score { << \\new Staff { \\clef bass fis'4-. g,8( aes16) r2 } >> }"),
]
BROKEN = [
    ("csv", "a,b\n1,2,3"), ("csv", "alone"), ("json", "{'a': 1}"), ("json", "4"), ("matplotlib", "plt.bar("),
    ("matplotlib", "import os\nos.system('rm')"), ("matplotlib", "import matplotlib.pyplot as plt\nplt.show()"),
    ("html", "<div><span></div>"), ("html", "plain"), ("html", "<div>"), ("mermaid", "A --> B"),
    ("mermaid", "flowchart TD\nA --> --> B"), ("mermaid", "flowchart TD\nsubgraph x\nA --> B"),
    ("plantuml", "start\nstop"), ("plantuml", "@startuml\nif (x) then\n:a;\n@enduml"), ("spice", "R1 in"),
    ("spice", "hello world"), ("spice", "* nothing"), ("lilypond", "{ c4 d"), ("lilypond", "notes"),
    ("latex", "\\begin{a}\\end{b}"), ("latex", "{"), ("logic", "Equals(A,B"), ("logic", "x = 4"),
    ("html", "<![x[y]]>"), ("html", "<div/><p></b>"), ("mermaid", "flowchart TD\nA -->"),
    ("mermaid", "flowchart TD\nA " + "-" * 5000 + "!"), ("mermaid", "flowchart TD\n" + "A---" * 3000 + "("),
    ("mermaid", "flowchart TD\nA -- " + "-= " * 300 + "x"), ("lilypond", "{ \\clef treble }"),
    ("lilypond", "{ apple }"), ("lilypond", "<>" * 9000), ("spice", "\n" * 9000 + "+"), ("spice", "Title\nrun"),
    ("logic", "__import__('os').system('x')"), ("logic", "[1 for x in y]"),
]  # fmt: skip


def test_every_language_has_a_good_example():
    assert GOOD.keys() == LANGUAGES.keys()


@pytest.mark.parametrize("name", GOOD)
def test_a_well_formed_text_passes(name):
    check_language(name, GOOD[name])


@pytest.mark.parametrize(("name", "text"), ALSO_GOOD)
def test_forms_that_models_write_pass(name, text):
    check_language(name, text)


@pytest.mark.parametrize(("name", "text"), BROKEN)
def test_a_broken_text_is_refused(name, text):
    with pytest.raises(DataError, match=f"the {name} can't be"):
        check_language(name, text)


@pytest.mark.parametrize("name", GOOD)
def test_endless_texts_are_refused_before_they_are_read(name):
    with pytest.raises(DataError, match="characters"):
        check_language(name, "(" * (MOST_CHARS + 1))
