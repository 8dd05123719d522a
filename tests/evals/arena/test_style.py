from __future__ import annotations

from align_cli.evals.arena.style import Style, style_of

ANSWER = """\
# Title

Some **bold** and __more bold__, and * no item.

1. one
2. two
- three
  * four

```python
# no header
- no item
**not bold**
```

#No header
"""


def test_markdown_is_counted_as_fastchat_counts_it() -> None:
    found = style_of([ANSWER])

    assert found[1:] == (1, 4, 2)


def test_length_is_words_and_signs_code_included() -> None:
    assert style_of(["Hello, world! x=1"]).tokens == 7


def test_turns_add_up() -> None:
    assert style_of(["**a**", "**b**", ""]) == Style(10, 0, 0, 2)


def test_a_block_that_is_never_closed_is_code_to_the_end() -> None:
    assert style_of(["```\n# a\n# b"]).headers == 0


def test_nothing_said_has_no_style() -> None:
    assert style_of([]) == Style(0, 0, 0, 0)
