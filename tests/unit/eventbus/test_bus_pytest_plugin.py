"""The fixtures in the test suite of a user, with and without a plugin for asyncio."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

USES_BUS = """
    import pytest
    from eventbus import Event

    EVENT = Event.new("omninode.agent.execution.started.v1", {})

    def test_inspected_without_a_loop(event_bus):
        assert event_bus.events() == []

    async def test_published_and_read(event_bus):
        await event_bus.publish(EVENT)
        async with event_bus.subscribe("omninode.agent", group="g") as subscription:
            assert (await anext(subscription)).event == EVENT
        await event_bus.settled("g")

    async def test_each_test_has_its_own(event_bus):
        assert event_bus.events() == []
        await event_bus.publish(EVENT)
"""


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_the_bus_fixture_in_both_modes_of_pytest_asyncio(pytester: pytest.Pytester, mode: str) -> None:
    """The fixture works in both modes of pytest-asyncio."""
    mark = "" if mode == "auto" else "@pytest.mark.asyncio\n    "
    pytester.makepyfile(USES_BUS.replace("async def", f"{mark}async def"))
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    result = pytester.runpytest_subprocess(f"--asyncio-mode={mode}", "-W", "error")
    result.assert_outcomes(passed=3)


def test_the_bus_fixture_without_pytest_asyncio(pytester: pytest.Pytester) -> None:
    """The fixture works without a plugin for asyncio."""
    pytester.makepyfile(
        """
        import asyncio
        from eventbus import Event

        def test_by_hand(event_bus):
            asyncio.run(event_bus.publish(Event.new("omninode.agent.execution.started.v1", {})))
            assert len(event_bus.events()) == 1
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:asyncio", "-W", "error")
    result.assert_outcomes(passed=1)


def test_the_generator_fixture_repeats_itself(pytester: pytest.Pytester) -> None:
    """The same seed gives the same events; the option and the marker change it, the marker first."""
    pytester.makepyfile(
        """
        import pytest

        def ids(generator):
            return [event.event_id for event in generator.events(chains=2)]

        def of(seed):
            from eventbus.chains import ChainGenerator
            return ids(ChainGenerator(seed=seed))

        def test_option(chain_generator):
            assert ids(chain_generator) == of(5)

        @pytest.mark.eventbus_seed(7)
        def test_marker(chain_generator):
            assert ids(chain_generator) == of(7)
            assert of(7) != of(5)

        @pytest.mark.eventbus_seed("seven")
        def test_bad_marker(chain_generator):
            pass
        """
    )
    result = pytester.runpytest_subprocess("--eventbus-seed=5", "--strict-markers")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*expected @pytest.mark.eventbus_seed(N) with a whole number, got ('seven',)*"])


def test_pytest_lists_fixtures_and_marker(pytester: pytest.Pytester) -> None:
    """Each has a line of documentation."""
    fixtures = pytester.runpytest_subprocess("--fixtures").stdout.str()
    assert "An open in-process bus, closed after the test." in fixtures
    assert "A generator of the shipped catalog" in fixtures
    pytester.runpytest_subprocess("--markers").stdout.fnmatch_lines(["@pytest.mark.eventbus_seed(seed):*"])
