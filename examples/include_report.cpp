// SPDX-License-Identifier: BSL-1.0
//
// Which headers are included most? A pipeline of generators over any amount of C++:
//
//   find --paths--> cat --lines--> matching --directives--> parsed --names--> main, which counts
//                    |
//                    `-- lines <--blocks-- watched <--blocks-- read
//
// Nothing runs until main asks for a name; then every stage asks the one before it. A line is a view of the
// one block that is in memory, so memory does not grow with the input, only with the number of different
// names.

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iomanip>
#include <iostream>
#include <krait/krait.hpp>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

namespace fs = std::filesystem;
using krait::generator;

constexpr const char* headers_of_this_machine = "/usr/include";
constexpr std::size_t block_size = 64 * 1024;
constexpr std::size_t longest_line = 1024 * 1024;

// ---------------------------------------------------------------------------- what the user gets to see

struct statistics {
  std::uint64_t paths = 0;   // found, or given
  std::uint64_t files = 0;   // read to their end
  std::uint64_t failed = 0;  // files that were not, directories that could not be searched
  std::uint64_t empty = 0;   // files read, harmless
  std::uint64_t open = 0;    // files read that do not end with a newline: harmless
  std::uint64_t blocks = 0;
  std::uint64_t bytes = 0;
  std::uint64_t lines = 0;
  std::uint64_t matches = 0;  // lines with an #include
  std::uint64_t names = 0;    // of these, with the name of a header

  /// How often a generator handed something on.
  std::uint64_t items() const { return paths + 2 * blocks + lines + matches + names; }
};

/// Messages and progress, on stderr. On a terminal, progress is one line, updated in place; elsewhere it is a
/// line every few seconds.
class console {
 public:
  void message(const std::string& about, const std::string& text) {
    clear();
    std::cerr << "include_report: " << about << ": " << text << '\n';
  }

  /// May be called often, shows something rarely.
  void progress(const statistics& seen) {
    const auto now = std::chrono::steady_clock::now();
    if (now < next_) {
      return;
    }
    next_ = now + interval_;
    clear();
    std::cerr << "include_report: " << seen.files << " files, " << seen.bytes / 1'000'000 << " MB so far";
    if (terminal_) {
      shown_ = true;
    } else {
      std::cerr << '\n';
    }
  }

  void clear() {
    if (std::exchange(shown_, false)) {
      std::cerr << "\r\033[K";
    }
  }

 private:
  const bool terminal_ = ::isatty(STDERR_FILENO) != 0;
  const std::chrono::milliseconds interval_{terminal_ ? 100 : 5000};
  std::chrono::steady_clock::time_point next_ = std::chrono::steady_clock::now() + interval_;
  bool shown_ = false;
};

/// What the stages share.
struct run {
  bool verbose = false;
  statistics seen;
  console user;

  void failed(const fs::path& path, const std::string& why) {
    ++seen.failed;
    user.message(path.string(), why);
  }

  /// What is harmless is counted, and named on request.
  void harmless(std::uint64_t& counter, const fs::path& path, const char* what) {
    ++counter;
    if (verbose) {
      user.message(path.string(), what);
    }
  }
};

// ------------------------------------------------------------------------------------------- the stages

/// Every regular file below a directory. Links are not followed, so that no file is read twice.
generator<const fs::path&> walk(run& self, fs::path directory) {
  return [&self, directory = std::move(directory)](auto& yield) {
    try {
      for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
        if (entry.is_symlink()) {
          continue;
        }
        if (entry.is_directory()) {
          yield.from(walk(self, entry.path()));  // reports its own errors
        } else if (entry.is_regular_file()) {
          yield(entry.path());
        }
      }
    } catch (const fs::filesystem_error& error) {
      self.failed(directory, error.code().message());
    }
  };
}

/// What is to be read.
generator<const fs::path&> find(run& self, std::vector<fs::path> arguments) {
  return [&self, arguments = std::move(arguments)](auto& yield) {
    if (arguments.empty()) {
      yield.from(walk(self, headers_of_this_machine));
    } else {
      yield.from(arguments);
    }
  };
}

/// The contents of a text file, block by block, in one buffer. Throws what is wrong with the file.
generator<std::string_view> read(fs::path path) {
  return [path = std::move(path)](auto& yield) {
    const auto close = [](std::FILE* open) { std::fclose(open); };
    const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "rb"), close);
    if (!file) {
      throw std::system_error(errno, std::generic_category());
    }
    // On the heap, as the stack of a generator is no larger than a block.
    const std::unique_ptr<char[]> buffer(new char[block_size]);
    for (bool first = true;; first = false) {
      const std::string_view block(buffer.get(), std::fread(buffer.get(), 1, block_size, file.get()));
      if (std::ferror(file.get()) != 0) {
        throw std::system_error(errno, std::generic_category());
      }
      if (block.empty()) {
        return;
      }
      if (first && block.find('\0') != block.npos) {
        throw std::runtime_error("binary file, skipped");
      }
      yield(block);
    }
  };
}

/// Passes blocks on, and shows the user how far we are.
generator<std::string_view> watched(run& self, generator<std::string_view> blocks) {
  return [&self, blocks = std::move(blocks)](auto& yield) mutable {
    for (const std::string_view block : blocks) {
      self.seen.blocks += 1;
      self.seen.bytes += block.size();
      self.user.progress(self.seen);
      yield(block);
    }
  };
}

struct text_summary {
  std::uint64_t lines = 0;
  std::uint64_t cut_lines = 0;  // longer than longest_line, without what is beyond
  bool ends_with_newline = true;
};

/// The lines of a text that comes in blocks, without their newlines. Most are views into their block; only
/// lines that cross from one block to the next are put together.
generator<std::string_view, void, text_summary> lines(generator<std::string_view> blocks) {
  return [blocks = std::move(blocks)](auto& yield) mutable {
    text_summary summary;
    std::string begun;  // the beginning of a line that did not end in its block
    bool cut = false;   // is something of it missing?
    const auto append = [&](std::string_view more) {
      const std::size_t room = longest_line - begun.size();
      cut = cut || more.size() > room;
      begun.append(more.substr(0, room));
    };

    for (std::string_view block : blocks) {
      for (std::size_t end; (end = block.find('\n')) != block.npos; block.remove_prefix(end + 1)) {
        summary.lines += 1;
        if (begun.empty()) {
          yield(block.substr(0, end));
        } else {
          append(block.substr(0, end));
          summary.cut_lines += std::exchange(cut, false) ? 1u : 0u;
          yield(begun);
          begun.clear();
        }
      }
      append(block);
    }
    if (!begun.empty()) {
      summary.lines += 1;
      summary.cut_lines += cut ? 1u : 0u;
      summary.ends_with_newline = false;
      yield(begun);
    }
    return summary;
  };
}

/// The lines of all files. What is wrong with one file is reported, and the next one read.
generator<std::string_view> cat(run& self, generator<const fs::path&> paths) {
  return [&self, paths = std::move(paths)](auto& yield) mutable {
    for (const fs::path& path : paths) {
      self.seen.paths += 1;
      try {
        // The lines go straight to who reads them; what comes back here is the return value, or an exception
        // of any of the three stages.
        const text_summary text = yield.from(lines(watched(self, read(path))));
        self.seen.files += 1;
        if (text.lines == 0) {
          self.harmless(self.seen.empty, path, "empty file");
        }
        if (!text.ends_with_newline) {
          self.harmless(self.seen.open, path, "no newline at the end of the file");
        }
        if (text.cut_lines != 0) {
          self.user.message(path.string(), std::to_string(text.cut_lines) +
                                               " line(s) longer than 1 MiB, of which the rest is ignored");
        }
      } catch (const std::exception& error) {
        self.failed(path, error.what());
      }
    }
  };
}

/// Takes `prefix` off the text, if it begins with that.
bool skip(std::string_view& text, std::string_view prefix) {
  const bool found = text.starts_with(prefix);
  text.remove_prefix(found ? prefix.size() : 0);
  return found;
}

void skip_blanks(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
}

/// Of the lines with an #include, what follows that.
generator<std::string_view> matching(run& self, generator<std::string_view> lines) {
  return [&self, lines = std::move(lines)](auto& yield) mutable {
    for (std::string_view line : lines) {
      self.seen.lines += 1;
      skip_blanks(line);
      if (skip(line, "#")) {
        skip_blanks(line);
        if (skip(line, "include")) {
          self.seen.matches += 1;
          yield(line);
        }
      }
    }
  };
}

/// The names of headers, without <> or "". Passes over `#include MACRO`.
generator<std::string_view> parsed(run& self, generator<std::string_view> directives) {
  return [&self, directives = std::move(directives)](auto& yield) mutable {
    for (std::string_view directive : directives) {
      skip(directive, "_next");
      skip_blanks(directive);
      const char end = skip(directive, "<") ? '>' : skip(directive, "\"") ? '"' : '\0';
      const std::size_t length = directive.find(end);
      if (end != '\0' && length != directive.npos) {
        self.seen.names += 1;
        yield(directive.substr(0, length));
      }
    }
  };
}

// ------------------------------------------------------------------------------------------- the report

/// Lets names be looked up without making a std::string of each.
struct name_hash : std::hash<std::string_view> {
  using is_transparent = void;
};

using counts = std::unordered_map<std::string, std::uint64_t, name_hash, std::equal_to<>>;

/// In KiB. Linux's ru_maxrss would do, had it not been inherited from whoever started this program.
std::uint64_t peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == "VmHWM:") {
      std::uint64_t kib = 0;
      status >> kib;
      return kib;
    }
  }
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss);
}

std::vector<counts::const_pointer> most_frequent(const counts& names, std::size_t n) {
  std::vector<counts::const_pointer> ranking;
  for (const auto& entry : names) {
    ranking.push_back(&entry);
  }
  n = std::min(n, ranking.size());
  std::partial_sort(
      ranking.begin(), ranking.begin() + static_cast<std::ptrdiff_t>(n), ranking.end(),
      [](auto* a, auto* b) { return a->second != b->second ? a->second > b->second : a->first < b->first; });
  ranking.resize(n);
  return ranking;
}

void print_report(std::ostream& out, const statistics& seen, const counts& names,
                  std::chrono::duration<double> time) {
  const double megabytes = static_cast<double>(seen.bytes) / 1e6;
  const double seconds = std::max(time.count(), 1e-9);
  out << std::fixed << std::setprecision(1);
  out << "files        " << seen.files << " read, " << seen.failed << " not\n";
  if (seen.empty + seen.open != 0) {
    out << "of these     " << seen.empty << " empty, " << seen.open << " without a newline at the end\n";
  }
  out << "input        " << megabytes << " MB, " << seen.lines << " lines\n";
  out << "matches      " << seen.matches << " lines with #include, " << seen.names << " of them with a name, "
      << names.size() << " different names\n";
  out << "most included\n";
  for (const auto* entry : most_frequent(names, 10)) {
    out << std::setw(12) << entry->second << ' ' << entry->first << '\n';
  }
  out << "time         " << std::setprecision(3) << seconds << std::setprecision(1) << " s, "
      << megabytes / seconds << " MB/s\n";
  out << "items        " << seen.items() << " handed on by generators, "
      << static_cast<double>(seen.items()) / seconds / 1e6 << " million/s\n";
  out << "peak memory  " << static_cast<double>(peak_memory()) / 1024 << " MiB\n";
  out << "switching    krait's " << krait::backend_name << " backend\n";
}

constexpr const char* help = R"(usage: include_report [--verbose] [FILE...]

Reports which headers are included most in the FILEs; by default, in all files below /usr/include.
Directories and binary files among the FILEs are skipped. Files that are empty, or do not end with a
newline, are counted; --verbose names them.

Exit status: 0 if every file was read, 1 if one was not, 2 if called wrongly.
)";

}  // namespace

int main(int argc, char** argv) {
  std::vector<fs::path> arguments;
  run self;
  bool options = true;
  for (const std::string_view argument : std::vector<std::string_view>(argv + 1, argv + argc)) {
    if (options && argument == "--help") {
      std::cout << help;
      return 0;
    }
    if (options && argument == "--") {
      options = false;
    } else if (options && argument == "--verbose") {
      self.verbose = true;
    } else if (options && argument.starts_with('-')) {
      std::cerr << "include_report: " << argument << ": no such option\n" << help;
      return 2;
    } else {
      arguments.emplace_back(argument);
    }
  }

  counts names;
  const auto start = std::chrono::steady_clock::now();
  for (const std::string_view name : parsed(self, matching(self, cat(self, find(self, arguments))))) {
    const auto found = names.find(name);
    if (found != names.end()) {
      ++found->second;
    } else {
      names.emplace(name, 1);
    }
  }
  const auto end = std::chrono::steady_clock::now();
  self.user.clear();

  if (self.seen.files == 0 && arguments.empty()) {
    self.user.message(headers_of_this_machine, "no C++ headers are installed here; name some files");
    return 1;
  }
  print_report(std::cout, self.seen, names, end - start);
  if (!std::cout.flush()) {
    self.user.message("standard output", std::strerror(errno));
    return 1;
  }
  return self.seen.failed == 0 ? 0 : 1;
}
