"""What lies in the folder: its files, trees and editions, against what they themselves say."""
