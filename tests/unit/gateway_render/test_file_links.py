from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import File
from gateway.render.file_links import FileLinks, markdown

CAT = File("https://p.example/cat.png", "cat.png", "image/png", "ref1")
PDF = File("https://p.example/a.pdf", "a.pdf", "application/pdf", "ref22")


def shown(files: list[File], *pieces: str) -> str:
    attachments = FileLinks()
    for file in files:
        attachments.add(file)
    text = "".join(map(attachments.resolve, pieces))
    return text + attachments.close(text)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (CAT, "![cat.png](https://p.example/cat.png)"),
        (PDF, "[a.pdf](https://p.example/a.pdf)"),
        (File("https://p.example/x", "", ""), "[file](https://p.example/x)"),
        (
            File("https://p.example/a (1).png", "a [1]\n.png", "image/png"),
            r"![a \[1\] .png](https://p.example/a%20%281%29.png)",
        ),
    ],
)
def test_a_file_is_a_link_and_an_image_shows(file: File, expected: str) -> None:
    assert markdown(file) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("See ![it][ref1]!", "See ![it](https://p.example/cat.png)!", id="titled"),
        pytest.param("![ref1]", "![cat.png](https://p.example/cat.png)", id="bare"),
        pytest.param("[it][ref2]", None, id="a reference to something else"),
        pytest.param("See https://p.example/cat.png", "See https://p.example/cat.png", id="by URL"),
        pytest.param("", "![cat.png](https://p.example/cat.png)", id="no text"),
        pytest.param("a [r", "a [r\n\n![cat.png](https://p.example/cat.png)", id="half of one"),
        pytest.param("[r", "[r\n\n![cat.png](https://p.example/cat.png)", id="nothing but half"),
    ],
)
def test_a_file_is_shown_once(text: str, expected: str | None) -> None:
    at_the_end = f"{text}\n\n![cat.png](https://p.example/cat.png)"

    assert shown([CAT], text) == (expected or at_the_end)


def test_files_that_the_text_does_not_show_come_on_lines_of_their_own() -> None:
    assert shown([CAT, PDF, CAT], "Here:") == (
        "Here:\n\n![cat.png](https://p.example/cat.png)\n[a.pdf](https://p.example/a.pdf)"
    )


def test_text_without_files_stays_as_it_is() -> None:
    assert shown([], "a [ref1] [") == "a [ref1] ["


def test_only_what_may_become_a_reference_is_held_back() -> None:
    attachments = FileLinks()
    attachments.add(CAT)

    assert attachments.resolve("see ![it][re") == "see ![it]"
    assert attachments.resolve("ad] and [") == "[read] and "


def test_a_resolved_reference_counts_where_the_text_is_remembered_unresolved() -> None:
    attachments = FileLinks()
    attachments.add(CAT)
    attachments.resolve("![it][ref1]")

    assert attachments.close("![it][ref1]") == ""


@given(st.lists(st.integers(0, 60), max_size=8))
def test_where_the_text_is_cut_does_not_matter(cuts: list[int]) -> None:
    text = "a ![x][ref1] b [y][ref22] [ref1] [ref [[ref22]] c [ref2"
    edges = [0, *sorted(cuts), len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)]

    assert shown([CAT, PDF], *pieces) == shown([CAT, PDF], text)
