"""In which order: segment, estimate, fit, refine, texture, one file each."""
