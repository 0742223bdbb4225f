"""Golden parity: numbers recorded from the official implementation, checked against this one."""

from cmg.golden.verify import CaseResult, Status, all_verified, verify_golden

__all__ = ["CaseResult", "Status", "all_verified", "verify_golden"]
