"""The console: a page on the REST port that shows the models and tries them. It can change nothing.

`exposure` decides whether it is served and to whom, `pages` has its files, `models` and `snapshots` say what it shows,
`events` sends that to those who look, and `handler` answers requests. It infers by the public REST API.
"""
