"""The Tux Paint stamps: pictures, what people say of them in several languages, and captions.

The material is GPL-2. It is read where the user has it; nothing made of it comes with cmg.
"""
