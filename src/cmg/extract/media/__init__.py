"""Reading media files: containers, frames, sound, pictures."""
