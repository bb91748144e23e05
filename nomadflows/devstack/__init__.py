"""The local stack: RabbitMQ, Consul, OpenBao (or Vault) and Nomad on one machine, owned by one user.

Knows how to find, configure, start and stop servers. Knows nothing of flows: what it leaves behind is a
settings file that says where the servers are, the same as an operator would write for a real cluster.

::

    up ──starts──▶ supervisor ──starts, watches, restarts──▶ epmd, rabbitmq, consul, vault, nomad, controller, gateway
     │                 │
     └── reads ◀── state.json (what each server is doing)          down ── SIGTERM ──▶ supervisor
"""
