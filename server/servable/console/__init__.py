"""The console: a page on the REST port that shows the models and tries them. It can change nothing.

`exposure` decides whether it is served and to whom, `models` and `snapshots` describe the server, `events` sends
snapshots while somebody looks, `handler` answers requests. The page itself is in `static/`: plain files, no build step.
"""
