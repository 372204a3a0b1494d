"""The open model: where the integral of a rate reaches a number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.catalog.model import ConstantRate, OpenWorkload, Profile, Spacing, SpacingName, Stage, Stages
from eventbus.catalog.reading.arrivals import load_profile
from eventbus.chains import ChainGenerator, InvalidSetting
from eventbus.chains.arrivals.compile import InitialBurst, compile_arrivals
from eventbus.chains.arrivals.process import MARK_EVERY, ClosedArrivals, OpenArrivalProcess, OpenArrivals, RunBounds
from eventbus.chains.arrivals.rates import CHAIN, NEVER, CalendarRate, PiecewiseLinearRate
from eventbus.chains.randomness import Integers, draw
from eventbus.chains.sampling import QuantileTable
from eventbus.chains.statistics import GammaDistribution, gamma_quantile
from eventbus.event import microseconds

HOUR = 3600 * 10**9
START = datetime(2026, 1, 1, tzinfo=UTC)
SPACINGS = [Spacing(), Spacing(name="regular"), Spacing(name="even"), Spacing(name="gamma", cv=0.5)]

rates = st.one_of(st.just(0.0), st.floats(1e-4, 1e4))
stages = st.lists(st.tuples(st.floats(1e-3, 1e4), rates, rates), min_size=1, max_size=5).filter(
    lambda every: any(begin or end for _, begin, end in every)
)


def nanoseconds(moment: datetime) -> int:
    return microseconds(moment) * 1000


def arrivals(model: OpenWorkload, start: datetime = START) -> OpenArrivals:
    made = compile_arrivals(model, nanoseconds(start))
    assert not isinstance(made, ClosedArrivals)
    return made


def begins(model: OpenWorkload, count: int, *, seed: int = 1, start: datetime = START) -> Integers:
    """When the first chains begin, nanoseconds after the start."""
    made = OpenArrivalProcess(arrivals(model, start), root=seed, start=nanoseconds(start))
    return made.arrivals(0, count) - nanoseconds(start)


def per_hour(model: OpenWorkload, hours: int, *, seed: int = 1, start: datetime = START) -> Integers:
    """How many chains begin in each hour."""
    count = round(arrivals(model, start).expected(hours * HOUR))
    hour = begins(model, count + 10 * math.isqrt(count) + 20, seed=seed, start=start) // HOUR
    return np.bincount(hour[hour < hours], minlength=hours)


def visitors(spacing: SpacingName = "poisson", cv: float = 1.0) -> OpenWorkload:
    return OpenWorkload(rate=load_profile("visitors"), spacing=Spacing(name=spacing, cv=cv))


class TestInversion:
    @given(stretches=stages, repeat=st.booleans(), parts=st.lists(st.floats(0, 2), min_size=1, max_size=50))
    @settings(max_examples=200, deadline=None)
    def test_it_undoes_the_integral(
        self, stretches: Sequence[tuple[float, float, float]], repeat: bool, parts: list[float]
    ) -> None:
        """Up to a nanosecond, and what the numbers of the machine lose."""
        rate = PiecewiseLinearRate(stretches, repeat=repeat)
        total = PiecewiseLinearRate(stretches, repeat=False).cumulative(NEVER)
        for place in (int(total * part) for part in parts):
            time = int(rate.times(place, np.array([0]))[0])
            if place >= total and not repeat:
                assert time == NEVER
                continue
            slack = 2 + int(time * 1e-6)
            assert rate.cumulative(max(time - slack, 0)) - 1 <= place <= rate.cumulative(time + slack) + 1

    @given(stretches=stages, base=st.integers(0, 10**12), gaps=st.lists(st.integers(0, 100), min_size=2, max_size=80))
    @settings(max_examples=200, deadline=None)
    def test_times_never_fall_and_need_no_company(
        self, stretches: Sequence[tuple[float, float, float]], base: int, gaps: list[int]
    ) -> None:
        """Places that lie next to each other, together and one by one, from any base."""
        rate = PiecewiseLinearRate(stretches, repeat=True)
        beyond = np.cumsum(gaps)
        together = rate.times(base, beyond)
        assert (np.diff(together) >= 0).all()
        assert together.tolist() == [int(rate.times(base + int(one), np.array([0]))[0]) for one in beyond]

    def test_the_nth_chain_of_a_ramp(self) -> None:
        """From 10 to 50 a second within a minute: when the area under the line is n."""
        model = OpenWorkload(
            rate=Stages(stages=(Stage(duration=60, begin=10, end=50),)), spacing=Spacing(name="regular")
        )
        slope = 40 / 60
        expected = [(math.sqrt(100 + 2 * slope * n) - 10) / slope * 1e9 for n in range(1, 1800)]
        assert begins(model, 1799) == pytest.approx(expected, abs=2)

    def test_a_ramp_to_nothing_and_a_pause(self) -> None:
        """Nobody comes in the pause; the next cycle begins where the last one ended."""
        stretches = (Stage(duration=10, begin=2, end=0), Stage(duration=10, begin=0, end=0))
        model = OpenWorkload(rate=Stages(stages=stretches, repeat=True), spacing=Spacing(name="regular"))
        found = begins(model, 40) / 1e9
        assert (found % 20 <= 10).all()
        assert np.diff(found[::10]) == pytest.approx(20, abs=1e-6)

    def test_stages_end(self) -> None:
        """Without a repetition no chain begins after them."""
        model = OpenWorkload(rate=Stages(stages=(Stage(duration=60, begin=10, end=10),)))
        made = OpenArrivalProcess(arrivals(model), root=5, start=nanoseconds(START))
        found = made.arrivals(0, 1000)
        count = int((found < NEVER).sum())
        assert count == pytest.approx(600, abs=100)
        assert (found[count:] == NEVER).all()
        assert found[count - 1] < nanoseconds(START) + 60 * 10**9
        assert made.first_since(microseconds(START) + 10**12, RunBounds()) >= count
        with pytest.raises(InvalidSetting, match="the arrivals end before chain 999 begins"):
            made.arrival(lambda chain, begins, since=None: None, 999)  # type: ignore[arg-type]

    def test_rates_of_millions_for_years(self) -> None:
        """Places beyond 63 bits."""
        model = OpenWorkload(rate=ConstantRate(rate=1e7), spacing=Spacing(name="regular"))
        far = 10**15 * CHAIN
        assert (arrivals(model).times(far, np.array([0, CHAIN])) == [10**17, 10**17 + 100]).all()


class TestSpacing:
    @pytest.mark.parametrize("spacing", SPACINGS, ids=lambda spacing: spacing.name)
    def test_any_part_is_the_same(self, spacing: Spacing) -> None:
        """Chains worked out in one go, in segments, from the middle, and in any order."""
        model = OpenWorkload(rate=load_profile("office"), spacing=spacing)
        whole = begins(model, 3 * MARK_EVERY)
        other = OpenArrivalProcess(arrivals(model), root=1, start=nanoseconds(START))
        for first, count in ((40_000, 100), (0, 17), (16, 33), (MARK_EVERY - 1, 3), (7, 1)):
            assert (other.arrivals(first, count) - nanoseconds(START) == whole[first : first + count]).all()

    @pytest.mark.parametrize("spacing", SPACINGS, ids=lambda spacing: spacing.name)
    def test_the_first_chain_since_a_time(self, spacing: Spacing) -> None:
        """Found without working out all of them."""
        model = OpenWorkload(rate=ConstantRate(rate=100), spacing=spacing)
        made = OpenArrivalProcess(arrivals(model), root=1, start=nanoseconds(START))
        since = microseconds(START) + 400_000_000
        first = made.first_since(since, RunBounds())
        before, at = made.arrivals(first - 1, 2)
        assert before < since * 1000 <= at

    @given(count=st.integers(1, 200), first=st.integers(0, 10**9))
    def test_even_chains_have_a_share_each(self, count: int, first: int) -> None:
        """Exactly one in each; so never two at once, however the draws fall."""
        made = arrivals(OpenWorkload(rate=ConstantRate(rate=1), spacing=Spacing(name="even")))
        keys = draw(np.arange(first, first + count).astype(np.uint64), 3)
        places = made.offsets(first * CHAIN - 1, first, keys) + first * CHAIN - 1
        assert (places // CHAIN == np.arange(first, first + count)).all()

    def test_some_at_once_and_then_as_it_says(self) -> None:
        """The others are those that would have come first."""
        for spacing in SPACINGS:
            then = arrivals(OpenWorkload(rate=ConstantRate(rate=5), spacing=spacing))
            late = OpenArrivalProcess(InitialBurst(20, then), root=1, start=0).arrivals(0, 500)
            assert (late[:20] == 0).all()
            assert (late[20:] > 0).all()
            assert late[-1] == pytest.approx(480 / 5 * 1e9, rel=0.3)
            assert (OpenArrivalProcess(InitialBurst(20, then), root=1, start=0).arrivals(15, 100) == late[15:115]).all()


class TestGamma:
    @pytest.mark.parametrize("cv", [0.1, 0.3, 1.0, 3.0, 10.0])
    def test_gaps_have_the_mean_and_the_spread(self, cv: float) -> None:
        """A million gaps of the table."""
        gap = gamma_quantile(cv)
        words = draw(np.arange(1_000_000).astype(np.uint64), 1)
        gaps = QuantileTable(lambda probability: gap(probability) * CHAIN, 1).at(words) / CHAIN
        assert gaps.mean() == pytest.approx(1, abs=4 * cv / 1000)
        assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.03)

    @pytest.mark.parametrize("probability", [1e-9, 0.01, 0.5, 0.99, 1 - 1e-9])
    def test_known_quantiles(self, probability: float) -> None:
        """Shape 1 is the exponential distribution, shape ½ belongs to the error function, shape 2 has a formula."""
        one, half, two = (GammaDistribution(shape).quantile(probability) for shape in (1, 0.5, 2))
        assert one == pytest.approx(-math.log1p(-probability), rel=1e-9, abs=1e-9)
        assert math.erf(math.sqrt(half)) == pytest.approx(probability, rel=1e-9, abs=1e-8)
        assert math.exp(-two) * (1 + two) == pytest.approx(1 - probability, rel=1e-6)

    def test_bursts(self) -> None:
        """Counts of a second scatter as the theory says: their variance is cv² times their mean."""
        for cv in (0.5, 1.0, 3.0):
            model = OpenWorkload(rate=ConstantRate(rate=50), spacing=Spacing(name="gamma", cv=cv))
            counts = np.bincount(begins(model, 200_000) // 10**9)[:-1]
            assert counts.mean() == pytest.approx(50, rel=0.05)
            assert counts.var() / counts.mean() == pytest.approx(cv * cv, rel=0.15)


class TestProfile:
    def test_counts_are_exact_when_spaced_evenly(self) -> None:
        """From midnight on, each hour has as many as its number says."""
        for name in ("even", "regular"):
            counts = per_hour(visitors(name), 24 * 7).reshape(7, 24)
            assert abs(counts - np.array(load_profile("visitors").hours[0])).max() <= (name == "regular")

    @pytest.mark.parametrize(("spacing", "cv"), [("poisson", 1.0), ("gamma", 0.5)])
    def test_counts_match_in_expectation(self, spacing: SpacingName, cv: float) -> None:
        """Of 400 days: chi-square over the hours, and the total."""
        expected = 400 * np.array(load_profile("visitors").hours[0])
        counts = per_hour(visitors(spacing, cv), 24 * 400).reshape(400, 24).sum(axis=0)
        chi_square = ((counts - expected) ** 2 / expected).sum()
        assert chi_square < 51.2  # 24 degrees of freedom, 1 in 1,000
        assert abs(counts.sum() - expected.sum()) < 4 * cv * math.sqrt(expected.sum())

    def test_a_day_is_not_flat(self) -> None:
        """The test above would notice a profile that is off by an hour."""
        hours = np.array(load_profile("visitors").hours[0])
        expected = 400 * np.roll(hours, 1)
        counts = per_hour(visitors(), 24 * 400).reshape(400, 24).sum(axis=0)
        assert ((counts - expected) ** 2 / expected).sum() > 1000

    def test_the_rate_changes_steadily(self) -> None:
        """Where it is interpolated: no jump between segments, never below 0, and each hour keeps its number."""
        calendar = CalendarRate(load_profile("office"), nanoseconds(START))
        segments = []
        for segment in calendar.segments(0):
            if segment.time >= 7 * 24 * HOUR:
                break
            segments.append(segment)
        assert all(before.end == after.begin for before, after in pairwise(segments))
        assert min(min(segment.begin, segment.end) for segment in segments) >= 0

    def test_steps(self) -> None:
        """Not interpolated: the same rate all through the hour."""
        profile = Profile(hours=(tuple(float(hour) for hour in range(24)),), interpolate=False)
        found = begins(OpenWorkload(rate=profile, spacing=Spacing(name="regular")), 23 * 12)
        inside = found[found // HOUR == 20] % HOUR
        assert np.diff(inside) == pytest.approx(HOUR / 20, abs=2)

    def test_days_have_factors(self) -> None:
        """Saturday half, Sunday nobody."""
        profile = Profile(hours=((10.0,) * 24,), days=(1, 1, 1, 1, 1, 0.5, 0))
        monday = datetime(2026, 1, 5, tzinfo=UTC)
        model = OpenWorkload(rate=profile, spacing=Spacing(name="even"))
        counts = per_hour(model, 24 * 14, start=monday).reshape(14, 24).sum(axis=1)
        assert counts.tolist() == [240, 240, 240, 240, 240, 120, 0] * 2

    def test_each_day_may_have_hours_of_its_own(self) -> None:
        """Seven lists, from Monday on; the total of a day is what the user wrote."""
        week = tuple((float(day + 1),) * 24 for day in range(7))
        monday = datetime(2026, 1, 5, tzinfo=UTC)
        for per_day, expected in ((None, [24 * (day + 1) for day in range(7)]), (500.0, [500] * 7)):
            model = OpenWorkload(rate=Profile(hours=week, per_day=per_day), spacing=Spacing(name="even"))
            counts = per_hour(model, 24 * 7, start=monday).reshape(7, 24).sum(axis=1)
            assert abs(counts - expected).max() <= 1

    @pytest.mark.parametrize(("day", "hours"), [(29, 23), (28, 24)])
    def test_a_day_of_23_hours(self, day: int, hours: int) -> None:
        """The hour that the clock skips has nobody; the day's total is as on any other day, where it was given."""
        begin = datetime(2026, 3, day - 1, 23, tzinfo=UTC)  # midnight in Berlin
        numbers = tuple(float(hour) for hour in range(1, 25))
        skipped = [hour for hour in range(24) if hours == 24 or hour != 2]
        profile = Profile(hours=(numbers,), time_zone="Europe/Berlin", interpolate=False)
        model = OpenWorkload(rate=profile, spacing=Spacing(name="even"))
        assert per_hour(model, hours, start=begin).tolist() == [numbers[hour] for hour in skipped]
        whole = OpenWorkload(rate=Profile(hours=(numbers,), per_day=1000, time_zone="Europe/Berlin"))
        assert arrivals(whole, begin).expected(hours * HOUR) == pytest.approx(1000)

    def test_a_day_of_25_hours(self) -> None:
        """The hour that the clock shows twice has its number twice; or the day has its total."""
        begin = datetime(2026, 10, 24, 22, tzinfo=UTC)  # midnight in Berlin
        numbers = tuple(float(hour) for hour in range(1, 25))
        profile = Profile(hours=(numbers,), time_zone="Europe/Berlin", interpolate=False)
        model = OpenWorkload(rate=profile, spacing=Spacing(name="even"))
        assert per_hour(model, 25, start=begin).tolist() == [1, 2, 3, *numbers[2:]]
        whole = OpenWorkload(rate=Profile(hours=(numbers,), per_day=1000, time_zone="Europe/Berlin"))
        assert arrivals(whole, begin).expected(25 * HOUR) == pytest.approx(1000)

    @pytest.mark.parametrize("zone", ["Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu", "Pacific/Apia"])
    def test_clocks_with_habits_of_their_own(self, zone: str) -> None:
        """Half an hour of summer time, days without midnight, a day left out."""
        begin = datetime(2010, 1, 1, tzinfo=UTC)
        rate = CalendarRate(Profile(hours=((1.0,) * 24,), per_day=100, time_zone=zone), nanoseconds(begin))
        assert rate.cumulative(2 * 365 * 24 * HOUR) / CHAIN == pytest.approx(100 * 2 * 365, abs=10)
        ends = [segment.time + segment.duration for segment, _ in zip(rate.segments(0), range(20_000), strict=False)]
        starts = [segment.time for segment, _ in zip(rate.segments(0), range(20_000), strict=False)]
        assert starts[1:] == ends[:-1]

    def test_the_clock_on_the_wall(self) -> None:
        """The peak at lunch is at noon in Tokyo."""
        model = OpenWorkload(
            rate=Profile(hours=load_profile("visitors").hours, time_zone="Asia/Tokyo"),
            spacing=Spacing(name="even"),
        )
        counts = per_hour(model, 24, start=START)
        assert counts.argmax() == 12 - 9

    def test_a_start_in_the_middle_of_an_hour(self) -> None:
        """What came before it does not come after it."""
        begin = START + timedelta(hours=12, minutes=30)
        rate = CalendarRate(load_profile("visitors"), nanoseconds(begin))
        assert rate.cumulative(0) == 0
        assert rate.cumulative(24 * HOUR) / CHAIN == pytest.approx(221)
        assert rate.times(0, np.array([0])).tolist() == [0]


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1])
def test_the_lowest_rates_are_generated(rate: float) -> None:
    """Gaps of minutes are within the limits: these are for numbers of units, whatever the unit."""
    generator = ChainGenerator(seed=1, rate=rate)
    begins = [event.timestamp for event in generator.events(chains=400) if event.causation_id is None]
    gaps = (begins[-1] - begins[0]).total_seconds() / (len(begins) - 1)
    assert len(begins) == 400
    assert abs(gaps * rate - 1) < 0.25
