"""What somebody has typed and not sent yet, kept on the server: it is there again after the time-out lock.

A form takes part by `data-draft`, the hidden field `draft` (the path of its
page, components/draft_line.html) and a page that asks `restoring.find_draft`.
With script it is kept every few seconds; without, when it arrives after the
session fell asleep. Nobody sees anybody else's, and nothing outlives a week.
"""
