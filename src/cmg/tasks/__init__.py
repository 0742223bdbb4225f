"""Benchmarks of frozen models: AVE, AVVP, AVE to AVVP, UCF101 with VGGSound, and plugins' own."""

from cmg.tasks import ave, ave_avvp, avvp, ucf_vgg

__all__ = ["ave", "ave_avvp", "avvp", "ucf_vgg"]
