"""Who may connect to the broker, and as whom: a private certificate authority, and the broker's access list.

`names`, `register`, `acl`, `settings` are pure; `signing` makes certificates of bytes and times; `files` writes so
that an interruption leaves nothing half done; `folder` is the whole.
"""
