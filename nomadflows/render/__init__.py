"""A published version becomes a Nomad job spec. Pure: no server is asked, no file but the template is read."""
