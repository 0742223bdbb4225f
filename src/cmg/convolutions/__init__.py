"""3x3 convolutions on small feature maps, in the forms that are fast where they run."""
