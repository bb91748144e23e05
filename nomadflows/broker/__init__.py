"""RabbitMQ: topology, messages, crypto. Imports nothing here: a step process starts through this package."""
