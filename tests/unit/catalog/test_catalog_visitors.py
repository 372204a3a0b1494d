"""Visitors in a catalog: short names, mistakes with their lines, and other visitors on the same site."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from eventbus.catalog import Catalog, InvalidCatalog, UnknownName
from eventbus.catalog.event_probabilities import with_probabilities
from eventbus.catalog.export.yaml import catalog_document, yaml_text
from eventbus.catalog.model import ALIASES, Behaviour, Range, full_name, short_name
from eventbus.chains.faults import Fault

NAME = "visitor-session"
SHIPPED = Path(__file__).parents[3] / "catalog" / "data" / "visitor.yaml"
TEXT = SHIPPED.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("page_visited", "omninode.visitor.page.visited.v1"),
        ("page_visit", "omninode.visitor.page.visited.v1"),
        ("screen_view", "omninode.visitor.page.visited.v1"),
        ("session_start", "omninode.visitor.session.created.v1"),
        ("session_end", "omninode.visitor.session.ended.v1"),
        ("button_click", "omninode.visitor.button.clicked.v1"),
        ("link_click", "omninode.visitor.link.clicked.v1"),
        ("page_close", "omninode.visitor.page.closed.v1"),
        ("form_submit", "omninode.visitor.form.submit.v1"),
        ("omninode.agent.execution.failed.v1", "omninode.agent.execution.failed.v1"),
        ("", ""),
    ],
)
def test_full_names(name: str, full: str) -> None:
    """A short name or an alias means a visitor event; any other name means itself."""
    assert full_name(name) == full


def test_short_names_come_back() -> None:
    """The short name of every visitor event means that event."""
    types = [name for name in Catalog.default().events if name.startswith("omninode.visitor.")]
    assert [full_name(short_name(name)) for name in types] == types
    assert {full_name(alias) for alias in ALIASES} == set(types)
    assert short_name("omninode.agent.execution.failed.v1") == "omninode.agent.execution.failed.v1"


def test_a_fault_takes_short_names() -> None:
    """What a fault may strike is named as anywhere else."""
    assert Fault(kind="drop", rate=0.1, event_types=("page_visit",)).event_types == (full_name("page_visit"),)


def test_other_visitors() -> None:
    """Journeys, behaviour and the number of users are chosen; the steps of a session follow."""
    behaviour = Behaviour(pages_per_session=Range(1, 30), clicks_per_page=Range(0, 15))
    changed = Catalog.default().with_visitors(journeys="shop", behaviour=behaviour, users=5).chain(NAME)
    assert changed.visitors is not None
    assert [journey.name for journey in changed.visitors.active_journeys] == [
        "shopping",
        "content",
        "sign-up",
        "contact",
        "random",
    ]
    assert changed.max_steps == 2 + 30 * 17
    assert changed.variables["user"].maximum == 5
    with pytest.raises(UnknownName, match="no set of journeys 'shp'"):
        Catalog.default().with_visitors(journeys="shp")


def test_the_shipped_sets() -> None:
    """The journeys and their weights are those that were promised."""
    visitors = Catalog.default().chain(NAME).visitors
    assert visitors is not None
    assert {name: {one.name: one.weight for one in journeys} for name, journeys in visitors.sets.items()} == {
        "site": {
            "bouncer": 35,
            "basic": 30,
            "blog-reader": 25,
            "product-explorer": 20,
            "docs-user": 15,
            "deep-explorer": 5,
        },
        "shop": {"shopping": 30, "content": 20, "sign-up": 25, "contact": 15, "random": 10},
    }


@pytest.mark.parametrize(
    ("old", "new", "path", "said"),
    [
        ("text: Sort}", "text: Sort, to: nowhere}  # here", "pages.products.clicks[2].to", "no page 'nowhere'"),
        ("text: Sort}", "txt: Sort}  # here", "pages.products.clicks[2]", "'text' is required"),
        ("{button: sort_by, text: Sort}", "{text: Sort}  # here", "pages.products.clicks[2]", "either `button: NAME`"),
        ("{button: sort_by,", "{button: filter,  # here\n             ", "pages.products.clicks[2]", "this page twice"),
        ("path: /products\n", "path: products  # here\n", "pages.products.path", "a path such as /pricing"),
        ("stops: [home, about]}", "stops: [home, abuot]}  # here", "sets.site.basic.stops[1]", "did you mean 'about'?"),
        ("{product: [add_to_cart]}", "{product: [add_to_card]}", "sets.shop.shopping.stops[2]", "has no 'add_to_card'"),
        ("weight: 15, stops: [docs", "weight: -1, stops: [docs", "sets.site.docs-user.weight", "0 or more, got -1"),
        ("journeys: site", "journeys: sites  # here", "visitors.journeys", "no set 'sites' (did you mean 'site'?)"),
        ("[3, 15]", "[15, 3]  # here", "behaviour.pages_per_session", "min 15 is above max 3"),
        ("[3, 15]", "[0, 15]  # here", "behaviour.pages_per_session", "expected 1 to 1,000, got 0"),
        ("[0, 8]", "[0, 8.5]  # here", "behaviour.clicks_per_page", "expected a whole number, got 8.5"),
        ("[60, 600]", "[60]  # here", "behaviour.session_duration", "expected [min, max], got 1 items"),
        ("human_like_delays: true", "human_like_delays: often  # here", "behaviour.human_like_delays", "true or false"),
        ("referrer: arrival.referrer", "referrer: arrival.from  # here", "visitors.referrer", "has no 'from'"),
        ("causes: agent-execution}", "causes: code-analysis}  # here", "pages.demos.clicks[0].causes", "'button'"),
        ("visit: page.title", "visit: page.titel", "payload.title.visit", "did you mean 'page.title'?"),
        ("visit: page.title", "visit: duration_ms", "payload.title.visit", "is a whole number, got type string"),
        ('"user-{}"', '"user"', "payload.user_id.template", "a text with {} once in it"),
        (
            "visit: number",
            "visit: pages",
            "states.visited.emits",
            "is the session attribute pages, which exists only in ended",
        ),
        ("visitor_country, per: user}", "visitor_country, per: usr}", "variables.country.per", "no variable 'usr'"),
        ("max: 2000, zipf", "max: 2000000, zipf", "variables.user", "at most 1,000,000 numbers, got 2,000,000"),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, old: str, new: str, path: str, said: str) -> None:
    """Every mistake is told with its line and what was expected."""
    assert TEXT.count(old) >= 1
    file = tmp_path / "visitor.yaml"
    file.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InvalidCatalog) as caught:
        Catalog.load(file)
    told = [mistake for mistake in caught.value.mistakes if said in mistake.problem]
    assert told, str(caught.value)
    assert told[0].where.endswith(path)
    if "# here" in new:
        lines = file.read_text(encoding="utf-8").splitlines()
        assert abs(told[0].line - 1 - next(n for n, line in enumerate(lines) if "# here" in line)) <= 1


def test_visits_belong_to_visitors(tmp_path: Path) -> None:
    """A chain without visitors has nothing to tell of a visit."""
    file = tmp_path / "visitor.yaml"
    file.write_text(TEXT[: TEXT.index("    visitors:\n")], encoding="utf-8")
    with pytest.raises(InvalidCatalog, match="but this chain has no `visitors`"):
        Catalog.load(file)


def shared(**changes: float) -> str:
    """The document of a catalog whose visitors' events have shares, some of them changed."""
    shares = {"session_start": 0.05, "session_end": 0.05, "page_visit": 0.25, "page_close": 0.2, "button_click": 0.4}
    catalog = with_probabilities(Catalog.default(), {**shares, "form_submit": 0.05}).only(NAME)
    chain = catalog.chain(NAME)
    assert chain.visitors is not None
    visitors = replace(chain.visitors, shares={**chain.visitors.shares, **changes})
    return yaml_text(catalog_document(replace(catalog, chains={NAME: replace(chain, visitors=visitors)})), {})


def test_visitors_with_shares_are_read_as_they_are_written(tmp_path: Path) -> None:
    """Shares of the stream are part of a catalog's document, with the states of one's own."""
    file = tmp_path / "shares.yaml"
    file.write_text(shared(), encoding="utf-8")
    visitors = Catalog.load(file).chain(NAME).visitors
    assert visitors is not None
    assert visitors.means is not None
    assert visitors.means.pages == pytest.approx(5)
    assert visitors.means.others == pytest.approx({"form_submit": 0.2})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"button": 0.5}, "expected shares from 0 to 1 that sum to 1"),
        ({"created": 0.0, "button": 0.45}, "no session would begin"),
        ({"visited": 0.1, "button": 0.55, "closed": 0.2}, "no more than visited has, 0.1, got 0.2 for closed"),
        ({"visited": 0.0, "button": 0.65}, "a share above 0 for visited"),
        (
            {"visited": 0.05, "closed": 0.05, "button": 0.75},
            "1 pages per session, and the behaviour has 3 to 15",
        ),
    ],
)
def test_shares_that_no_session_can_have(tmp_path: Path, changes: dict[str, float], said: str) -> None:
    """They are refused, with what was asked for and what is possible."""
    file = tmp_path / "shares.yaml"
    file.write_text(shared(**changes), encoding="utf-8")
    with pytest.raises(InvalidCatalog) as caught:
        Catalog.load(file)
    assert any(
        said in mistake.problem and mistake.where.endswith("visitors.shares") for mistake in caught.value.mistakes
    )
