"""The data doctor: what is complete, missing, truncated, duplicated or wrong in a data folder."""

from cmg.official.catalogue import group_of
from cmg.official.doctor.check import check_root
from cmg.official.doctor.findings import FAULTS, LIMITS, Diagnosis, Finding, FindingStatus

__all__ = ["FAULTS", "LIMITS", "Diagnosis", "Finding", "FindingStatus", "check_root", "group_of"]
