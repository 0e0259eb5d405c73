"""The fingerprints of issues."""

from __future__ import annotations

from dataclasses import replace

from harness.read.ci.issue import Issue, identified
from harness.read.ci.source_tree import SourceTree
from harness.read.finding import Level

BLOCK = Issue("blocks", Level.WARNING, "t", "Held for 301 ms.", "shop/cart.py", 5, subject="total call")


def fingerprints(repository: SourceTree, *issues: Issue) -> list[str]:
    return [issue.fingerprint for issue in identified(issues, repository)]


def test_it_stays_when_the_line_moves_and_the_figures_differ(repository: SourceTree) -> None:
    """And changes with the text of the line, the file, the rule and the subject."""
    (before,) = fingerprints(repository, BLOCK)
    cart = repository.root / "shop/other.py"
    cart.write_text("\n\n" + (repository.root / "shop/cart.py").read_text())
    moved = replace(BLOCK, file="shop/other.py", line=7, message="Held for 1.2 s.")
    (there,) = fingerprints(repository, replace(moved, line=7))
    assert len(before) == 32

    (again,) = fingerprints(repository, replace(BLOCK, message="Held for 1.2 s."))
    assert again == before != there
    assert fingerprints(repository, moved) == [there]
    for changes in ({"line": 4}, {"rule": "hangs"}, {"subject": "total cpu"}):
        assert fingerprints(repository, replace(BLOCK, **changes)) != [before]


def test_the_number_of_the_line_is_no_part_of_it(repository: SourceTree) -> None:
    """The same text at another number is the same issue."""
    (before,) = fingerprints(repository, BLOCK)
    moved = SourceTree(repository.root / "moved")
    (moved.root / "shop").mkdir(parents=True)
    (moved.root / "shop/cart.py").write_text("\n" + (repository.root / "shop/cart.py").read_text())

    assert fingerprints(moved, replace(BLOCK, line=6)) == [before]


def test_without_a_line_the_message_counts_but_not_its_figures(repository: SourceTree) -> None:
    """Times, shares, counts."""
    one = Issue("load", Level.ERROR, "t", "The load came 1,203 times late, by 1.5 s, 3 % of it.")
    other = replace(one, message="The load came 1 time late, by 12 ms, 10 % of it.")

    assert fingerprints(repository, one) == fingerprints(repository, other)
    assert fingerprints(repository, one) != fingerprints(repository, replace(one, message="It was not sent."))


def test_all_of_a_report_differ(repository: SourceTree) -> None:
    """GitLab shows only the first issue of a fingerprint."""
    assert len(set(fingerprints(repository, BLOCK, BLOCK, BLOCK))) == 3
