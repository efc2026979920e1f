"""The console: a page on the REST port that shows the models and tries them. It can change nothing."""
