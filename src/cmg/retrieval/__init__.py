"""Cross-modal retrieval: finding clips by another modality of them.

Shape legend of the package: N queries, M clips of a gallery, T steps, D width, K codes.
"""
