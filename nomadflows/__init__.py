"""nomadflows: integration flows on HashiCorp Nomad."""
