"""The look: frame, components, words for dates, names and numbers, and the gallery that shows them all.

It keeps no tables. Every other room builds its pages from
`templates/base.html`, `templates/components/` and the tags in here.
"""
