"""The page of an evaluation: what was asked and said as text, what differs first, and nothing from elsewhere."""

import re

from ai_toolkit.evaluation.asking import Answer, Answers
from ai_toolkit.evaluation.cases import Case, Expected
from ai_toolkit.evaluation.judging import judge
from ai_toolkit.evaluation.page import page_of
from ai_toolkit.evaluation.result import Evaluation

CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "weather"}}]}
SAME = Case("cases.jsonl:1", "same", ({"role": "user", "content": "Same?"},), Expected(exact="yes"))
MARKUP = "<script>document.title = 'taken'</script><img src=https://elsewhere.invalid/x>"
DIFFERENT = Case("cases.jsonl:2", "other", (CALL, {"role": "user", "content": MARKUP}), Expected(contains=("sun",)))


def answers(model, *said):
    pairs = zip((SAME, DIFFERENT), said, strict=True)
    return Answers(model, tuple(Answer(case, text, *judge(case, text), False, 1, 0.1) for case, text in pairs), 1.0)


def test_markup_is_text_and_what_differs_stands_first():
    """In questions, answers and models' names; the calls of tools are shown."""
    both = (answers("base", "yes", "sun"), answers("<b>", "yes", MARKUP))
    found = Evaluation("http://x", "2026-11-26T22:00:00+00:00", both, "base")
    page = page_of(found)

    assert MARKUP not in page
    assert "<b>" not in page.replace('<div class="turn"><b>', "")
    assert page.index("cases.jsonl:2") < page.index("cases.jsonl:1")
    assert "&quot;name&quot;: &quot;weather&quot;" in page
    assert "default-src 'none'" in page
    assert re.findall(r"<(?:script|img|link|iframe)", page) == []
