"""Problems told in two parts, a body and a question, as in SVAMP and ASDiv."""

import re

_QUESTION_WORD = re.compile(r"(?:How|What|Which|Who|Whose|Where|When|Why|About|Find)\b")
_LAST_SENTENCE = re.compile(r"[.?!]\s+(?=[^.?!]*$)")


def join(body: str, question: str) -> str:
    """One text of both parts.

    SVAMP cuts 358 of its sentences: a body ends without punctuation, mostly in a condition. "If there are 5 on each
    pack" + "How much …?" → "If there are 5 on each pack, how much …?"; any other open body gets its full stop.
    """
    body, question = body.strip(), question.strip()
    if not body or not question:
        return body or question
    if not body[-1].isalnum():
        return f"{body} {question}"
    if _LAST_SENTENCE.split(body)[-1].startswith(("If ", "When ")):
        follows = question[0].lower() + question[1:] if _QUESTION_WORD.match(question) else question
        return f"{body}, {follows}"
    return f"{body}. {question}"
