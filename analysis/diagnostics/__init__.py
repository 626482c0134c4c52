"""Diagnostics: is a network spike-driven, what do its attention maps and spike trains look like?"""
