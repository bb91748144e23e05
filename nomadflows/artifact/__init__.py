"""Packed components: made once at deploy, kept by their digest, unpacked on nodes. Knows files and HTTP, no flow."""
