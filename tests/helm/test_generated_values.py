"""Whatever the schema takes is rendered right, or refused with a reason: never a crash of a template."""

from __future__ import annotations

import hypothesis
from hypothesis import HealthCheck, given

from tests.helm.chart import Chart, Object, Refused
from tests.helm.consistency import problems
from tests.helm.generated import named_elsewhere, values

EXAMPLES = 25


def test_values_that_the_schema_takes_are_rendered_right_or_refused_with_a_reason(rendered: Chart) -> None:
    outcomes = {"rendered": 0, "refused": 0}

    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(values())
    def render(chosen: Object) -> None:
        try:
            objects = rendered.objects(chosen)
        except Refused as refused:
            assert "these values cannot work:" in str(refused), refused
            outcomes["refused"] += 1
        else:
            assert problems(objects, elsewhere=named_elsewhere(chosen)) == []
            outcomes["rendered"] += 1

    render()
    assert outcomes["rendered"] > EXAMPLES // 4, outcomes
