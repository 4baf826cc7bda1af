#pragma once

#include <marginalia/chains.h>
