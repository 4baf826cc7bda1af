# Stands for a LibTorch with the old C++ string ABI, as PyTorch's wheels had up to 2.6; holds no library.
set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI=0")
set(Torch_FOUND TRUE)
