"""The documentation: it builds without a warning and a network, and what it tells a reader to type exists."""

from __future__ import annotations

import html
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install -e '.[dev]'")
pytest.importorskip("latex2mathml", reason="latex2mathml is not installed: pip install -e '.[dev]'")

from mkdocs.commands.build import build as make_site
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
SOURCES = [*PAGES, ROOT / "mkdocs.yml", *sorted((DOCS / "hooks").glob("*.py"))]
MACHINE = re.compile(r"(?<![\w.:<>/-])/(?:home|root|work|Users|mnt|srv|scratch|lustre|opt)/")
HOSTS = {"arxiv.org", "github.com", "huggingface.co", "hydra.cc", "download.pytorch.org", "localhost"}
URL = re.compile(r"https?://([\w.-]+)")
LINK = re.compile(r'\b(?:href|src)="([^"]+)"')
ANCHOR = re.compile(r'\b(?:id|name)="([^"]+)"')


def build(config: Path, site: Path) -> None:
    """The site, as `mkdocs build --strict` makes it.

    Raises:
        Abort: there was a warning or an error.
    """
    loaded = load_config(str(config), site_dir=str(site), strict=True)
    loaded.plugins.run_event("startup", command="build", dirty=False)
    make_site(loaded)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    build(ROOT / "mkdocs.yml", folder)
    return folder


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def test_every_page_is_in_the_navigation_once() -> None:
    named = re.findall(r": (\S+\.md)$", text_of(ROOT / "mkdocs.yml"), re.MULTILINE)
    assert sorted(named) == [page.name for page in PAGES]


def test_every_link_and_anchor_of_the_site_resolves(site: Path) -> None:
    pages = [page for page in site.glob("*.html") if page.stem != "404"]  # what a server shows, from its root
    anchors = {page.resolve(): set(ANCHOR.findall(text_of(page))) for page in pages}
    missing = []
    for page in anchors:
        for link in map(html.unescape, LINK.findall(text_of(page))):
            parts = urlsplit(link)
            if parts.scheme or link.startswith("data:"):
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in anchors[target]):
                missing.append(f"{page.name}: {link}")
    assert missing == []


def test_nothing_of_the_site_is_asked_for_over_a_network(site: Path) -> None:
    """Links may lead out; scripts, styles, images and fonts are beside the pages."""
    loaded = re.compile(
        r'<(?:script|img|iframe|source)\b[^>]*\bsrc="(https?:[^"]+)|<link\b[^>]*\bhref="(https?:[^"]+)'
    )
    assert {
        page.name: found for page in site.glob("*.html") if (found := loaded.findall(text_of(page)))
    } == {}
    assert not re.search(r"url\(\s*[\"']?https?:", "".join(map(text_of, site.rglob("*.css"))))


def test_formulas_are_mathml_and_sources_are_the_packages(site: Path) -> None:
    method = text_of(site / "method.html")
    assert method.count("<math ") >= 20
    assert not re.search("[\ue000\ue001]|\\$`", method)
    shown = html.unescape(re.sub(r"<[^>]+>", "", method))
    assert "left = 1.0 - progress if kind == " in shown
    assert "kept_n[order_n[:dropped]] = False" in shown
    assert "[source:" not in shown


def test_the_search_index_holds_every_page_and_needs_no_server(site: Path) -> None:
    index = text_of(site / "search" / "search_index.js")
    assert [page.stem for page in PAGES if f'"{page.stem}.html' not in index] == []


def test_the_table_of_sweeps_is_that_of_the_files(site: Path) -> None:
    shown = html.unescape(re.sub(r"<[^>]+>", "", text_of(site / "reproduce.html")))
    for file in sorted((ROOT / "sweeps").glob("*.yaml")):
        said = yaml.safe_load(text_of(file))
        for text in (file.stem, said["title"], said["reproduces"], *said["cost"].values()):
            assert text in shown


def _project(folder: Path, page: str) -> Path:
    """A site of one page with the same settings."""
    config = yaml.safe_load(re.sub(r"nav:\n.*", "", text_of(ROOT / "mkdocs.yml"), flags=re.DOTALL))
    config["hooks"] = [str(ROOT / hook) for hook in config["hooks"]]
    config.pop("watch")
    (folder / "docs").mkdir()
    (folder / "docs" / "index.md").write_text(page, encoding="utf-8")
    (folder / "code.py").write_text("def there() -> None:\n    pass\n", encoding="utf-8")
    (folder / "mkdocs.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder / "mkdocs.yml"


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("[source: gone](../code.py)", "code.py defines no gone"),
        ("[source: there](../no.py)", "there is no no.py there"),
        ("[section: Gone](../code.py)", "has no heading 'Gone'"),
        ("```math\n\\nosuchcommand{x}\n```", "unread"),
        ("see [this](other.md)", "other.md"),
        ("see [this](#nowhere)", "nowhere"),
    ],
)
def test_a_page_that_went_stale_ends_the_build(
    page: str, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Abort):
        build(_project(tmp_path, f"# Page\n\n{page}\n"), tmp_path / "site")
    assert said in caplog.text


def test_a_page_is_built_with_what_it_names(tmp_path: Path) -> None:
    page = "# Page\n\n[source: there](../code.py)\n\n$`\\alpha`$ and $`x_1`$\n"
    build(_project(tmp_path, page), tmp_path / "site")
    shown = text_of(tmp_path / "site" / "index.html")
    assert "there" in shown
    assert "<mi>&#x003B1;</mi>" in shown


def _lines() -> Iterator[tuple[str, str]]:
    for file in SOURCES:
        yield from ((file.name, line) for line in text_of(file).splitlines())


def test_no_line_names_a_machine() -> None:
    names = {
        name for name in (socket.gethostname(), socket.getfqdn()) if len(name) > 3 and name != "localhost"
    }
    found = [
        f"{name}: {line}"
        for name, line in _lines()
        if MACHINE.search(line) or any(host in line for host in names)
    ]
    assert found == []


def test_links_lead_to_known_hosts() -> None:
    assert {host for _, line in _lines() for host in URL.findall(line)} <= HOSTS


def test_questions_of_the_faq_have_their_source_and_an_answer() -> None:
    parts = re.split(r"^### (.+)$", text_of(DOCS / "faq.md"), flags=re.MULTILINE)[1:]
    questions = dict(zip(parts[::2], parts[1::2], strict=True))
    assert len(questions) >= 15
    for question, answer in questions.items():
        asked, _, said = answer.strip().partition("\n\n")
        assert question.endswith("?")
        assert "https://github.com/" in asked, question
        assert len(said) > 150, question
        assert "`" in said, question
