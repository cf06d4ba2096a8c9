"""Files: JSON lines of records, and run directories that are sealed by a manifest written last."""

from visreason.store.lines import (
    read_json,
    read_records,
    read_rows,
    record_row,
    sha256,
    write_json,
    write_records,
)
from visreason.store.models import checkpoints, model_files, model_path, of_other_style
from visreason.store.run import (
    IMAGES,
    JUDGED,
    LOCK,
    MANIFEST,
    METRICS,
    PICTURES,
    RECIPE,
    REJECTED,
    SAMPLES,
    SCORED,
    TROUBLES,
    Run,
    manifest,
)

__all__ = [
    "IMAGES", "JUDGED", "LOCK", "MANIFEST", "METRICS", "PICTURES", "RECIPE", "REJECTED", "SAMPLES", "SCORED",
    "TROUBLES", "Run", "checkpoints", "manifest", "model_files", "model_path", "of_other_style", "read_json",
    "read_records", "read_rows", "record_row", "sha256", "write_json", "write_records",
]  # fmt: skip
