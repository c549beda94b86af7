"""Jobs from a folder of images, results into another folder."""
