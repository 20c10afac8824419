"""Sensors: a newer complete PMC release exists. All ship stopped; start them in the UI under Automation."""

import dagster as dg

from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.automation.jobs import file_list_job
from biomedica_assets.settings import Settings

_Tick = dg.SensorResult | dg.SkipReason


def build_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """All sensors; only the interval of the release sensor is a setting."""

    @dg.sensor(
        job=file_list_job,
        minimum_interval_seconds=settings.release_sensor_seconds,
        default_status=dg.DefaultSensorStatus.STOPPED,
    )
    def pmc_release(context: dg.SensorEvaluationContext, biomedica: BiomedicaResource) -> _Tick:
        """Request one `file_list` run when PMC's newest complete release is newer than the last one seen.

        A source that cannot be read is no news: the tick is skipped with the reason, and the next one looks again.
        """
        try:
            release = biomedica.open().source.latest()
        except Exception as error:
            return dg.SkipReason(f"the source cannot be read: {type(error).__name__}: {error}")
        if release is None:
            return dg.SkipReason("the source has no complete release yet")
        if context.cursor and release.name <= context.cursor:
            return dg.SkipReason(f"release {release.name} has been seen")
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=release.name)], cursor=release.name)

    return [pmc_release, automation]


automation = dg.AutomationConditionSensorDefinition(
    "automation",
    target=dg.AssetSelection.all(),
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Evaluates automation conditions: refreshes the catalogue and what hangs on it after chunks change.",
)
