"""Query-based video segmentation: the mask of what a sound or a sentence is about.

Shape legend of the package: B clips, T frames a clip, S side of a picture in pixels, C channels,
P = T H W positions of a stage, Q steps of a query, D width of the code vectors.
"""
