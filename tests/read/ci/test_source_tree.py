"""Paths of a record as paths of the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.read.ci.source_tree import SourceTree


def test_the_root_is_where_git_is(repository: SourceTree, tmp_path: Path) -> None:
    """Above the folder that is asked for; without git, that folder itself."""
    assert repository.root == tmp_path / "repository"
    assert SourceTree.around(tmp_path).root == tmp_path


def test_files_below_the_root_are_relative_to_it(repository: SourceTree, tmp_path: Path) -> None:
    """With a link on the way, too, and if the record has them relative."""
    (tmp_path / "link").symlink_to(repository.root)

    assert repository.path(f"{repository.root}/shop/cart.py", 5) == "shop/cart.py"
    assert repository.path(f"{tmp_path}/link/shop/../shop/cart.py") == "shop/cart.py"
    assert repository.path("shop/cart.py") == "shop/cart.py"


@pytest.mark.parametrize(
    ("file", "line", "path"),
    [
        ("/app/shop/cart.py", 5, "shop/cart.py"),
        ("/build/repository/shop/cart.py", 1, "shop/cart.py"),
        ("/app/main.py", 5, "main.py"),
        ("/app/main.py", 6, ""),
        ("/app/other.py", 1, ""),
        ("/usr/lib/python3.12/main.py", 1, ""),
        ("/app/.venv/lib/python3.12/site-packages/shop/cart.py", 1, ""),
        ("/app/../main.py/../../etc", 1, ""),
    ],
)
def test_a_file_of_another_machine_is_found_by_its_last_parts(
    repository: SourceTree, file: str, line: int, path: str
) -> None:
    """If it has the line; nothing that was installed is taken for a file of the repository."""
    assert repository.path(file, line) == path


def test_what_is_no_file_of_the_repository_has_no_path(repository: SourceTree, tmp_path: Path) -> None:
    """Another file that exists, an installed package inside, code without a file, and nonsense."""
    (tmp_path / "cart.py").write_text("")
    installed = repository.root / ".venv/lib/python3.12/site-packages/sdk/client.py"

    for file in (tmp_path / "cart.py", installed, "<frozen importlib._bootstrap>", "", "\0", "a" * 5000):
        assert repository.path(str(file)) == ""


def test_the_text_of_a_line(repository: SourceTree) -> None:
    """Without its indentation; "" for what is not there."""
    assert repository.source("shop/cart.py", 5) == "time.sleep(0.3)"
    assert [repository.source(*at) for at in (("shop/cart.py", 6), ("gone.py", 1), ("", None))] == [
        "",
        "",
        "",
    ]
