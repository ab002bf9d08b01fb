"""The embedded broker: a durable log in one SQLite file, and Faust's transport over it.

`log` and `lock` know nothing of Faust; `transport`, `consumer` and `producer` are its plug-in.
"""
