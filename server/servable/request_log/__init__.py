"""Requests and replies written down: sampled, off the way of the calls, into bounded files.

`follower` decides which calls are logged and puts them into a bounded queue (`entries`). One thread (`writer`) takes
them out, makes records of them (`records`, `json_lines`, `rest_replies`) and appends these to files (`files`), which
`uploads` brings to a store if the log's prefix is a URI.
"""
