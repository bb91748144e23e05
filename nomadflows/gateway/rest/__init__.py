"""The REST API `/v2`, in elastic.io's conventions.

`operation` says what an operation is, `application` serves a table of them, `openapi` describes the same table;
`flows`, `states`, `versions` … hold the rows. Every rule about flows is in `model`, every write in `store`: what the
command line may and may not do, this API may and may not do.
"""
