"""From a clip to head parameters: face networks, landmark fitting, track files (see README.md)."""
