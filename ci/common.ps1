# What the PowerShell scripts beside it share: they read it with a dot.

$ErrorActionPreference = 'Stop'

# Runs a program, its output shown, and ends the script if it fails.
function Invoke-Program([string]$Program, [string[]]$Arguments) {
    & $Program @Arguments | Out-Host
    if ($LASTEXITCODE -ne 0) {
        throw "$Program $Arguments ended with $LASTEXITCODE"
    }
}

# Which presets build epio here, and where their programs are: with vcpkg those of
# Microsoft's compiler (by Ninja where this is a prompt of Visual Studio, else by the
# newest one that is there), without it those of a gcc that is installed.
function Get-Presets([switch]$Release) {
    # The vcpkg inside Visual Studio, which its prompt names, has no ports of its own.
    if ($env:VCPKG_INSTALLATION_ROOT) {
        $env:VCPKG_ROOT = $env:VCPKG_INSTALLATION_ROOT
    }
    if ($env:VCPKG_ROOT) {
        $name = 'msvc'
        if ((Get-Command cl -ErrorAction SilentlyContinue) -and
            (Get-Command ninja -ErrorAction SilentlyContinue)) {
            $name = 'msvc-ninja'
        }
        $build = $name
        if ($Release) {
            $build = "$name-release"
        }
        return @{
            Configure = $name
            Build = $build
            Directory = "build/$name"
            Configuration = 'RelWithDebInfo'
        }
    }

    $gcc = Get-Command gcc -ErrorAction SilentlyContinue
    $ninja = Get-Command ninja -ErrorAction SilentlyContinue
    if ($gcc -and $ninja) {
        $name = 'dev'
        if ($Release) {
            $name = 'release'
        }
        return @{
            Configure = $name
            Build = $name
            Directory = "build/$name"
            Configuration = '.'
        }
    }
    throw 'epio needs CMake 3.25 and either Visual Studio (2022, version 17.8, or newer) with vcpkg (VCPKG_ROOT names its directory), or gcc, Ninja, pkg-config and libsodium'
}
