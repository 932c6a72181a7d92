"""S3Net: sparse shortcut topology (Fan et al.)."""
