"""Experiments made with cmg, beside the package: README.md says how to run one."""
