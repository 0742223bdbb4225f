"""Picture files: which may be opened, and what their pixels mean, as pictures and as masks."""
