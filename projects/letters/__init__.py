"""Recorded letters A to Z of many speakers, and the same letters drawn in many fonts.

Recordings are GPL-2+ and CC BY-SA: read where the user has them; nothing made of them comes with
cmg.
"""
