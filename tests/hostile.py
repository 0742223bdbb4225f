"""An object whose pickle runs something, for tests of what reads pickles."""


class Evil:
    """Unpickled, it makes an empty file at `path`."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (exec, (f"open({str(self.path)!r}, 'w').close()",))
