"""Methods x models x metrics over a folder of images, on one machine or many."""
