"""A person's head as Gaussians on the triangles of a head model: map, rigging, avatar file, renderer."""
