// SPDX-License-Identifier: BSL-1.0
//
// Runs the program, whose path the build gives as INCLUDE_REPORT, on files made here.

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

namespace fs = std::filesystem;

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

struct outcome {
  int status;
  std::string out;
  std::string err;

  /// The figure after a label in the report.
  double figure(const std::string& label) const {
    const std::size_t at = out.find(label);
    REQUIRE_MESSAGE(at != std::string::npos, label, " is not in the report:\n", out);
    return std::stod(out.substr(at + label.size()));
  }
};

/// A directory of its own for every test.
class directory {
 public:
  directory() : path_(fs::temp_directory_path() / "krait-XXXXXX") {
    std::string name = path_.string();
    if (::mkdtemp(name.data()) == nullptr) {
      throw std::runtime_error("cannot make " + name);
    }
    path_ = name;
  }
  ~directory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  directory(const directory&) = delete;
  directory& operator=(const directory&) = delete;

  fs::path operator/(const char* name) const { return path_ / name; }

  /// Makes a file of so many copies of a text.
  void write(const char* name, std::string_view text, std::size_t copies = 1) const {
    std::ofstream file(path_ / name, std::ios::binary);
    while (copies-- > 0) {
      file << text;
    }
    REQUIRE(file.flush());
  }

  /// Runs the program in here, with arguments in the shell's syntax.
  outcome include_report(const std::string& arguments) const {
    const std::string command = "cd '" + path_.string() +
                                "' && (exec $KRAIT_TEST_EMULATOR '" INCLUDE_REPORT "' " + arguments +
                                ") >.stdout 2>.stderr </dev/null";
    const int status = std::system(command.c_str());
    REQUIRE(WIFEXITED(status));
    return {WEXITSTATUS(status), read(".stdout"), read(".stderr")};
  }

 private:
  std::string read(const char* name) const {
    std::ostringstream text;
    text << std::ifstream(path_ / name, std::ios::binary).rdbuf();
    return text.str();
  }

  fs::path path_;
};

constexpr std::string_view sample =
    "#include <vector>\n"
    "  #  include \"mine.hpp\"  // a comment\n"
    "#include_next <vector>\n"
    "#include MACRO\n"
    "int includes;  // #include <nothing>\n";

}  // namespace

TEST_CASE("include_report: counts the headers of every file") {
  const directory here;
  here.write("a.cpp", sample);
  here.write("b.cpp", "#include \"mine.hpp\"\n\n#include \"mine.hpp\"\n");
  const outcome run = here.include_report("a.cpp b.cpp");
  CHECK(run.status == 0);
  CHECK(run.err == "");
  CHECK(contains(run.out, "files        2 read, 0 not\n"));
  CHECK(contains(run.out, "8 lines\n"));
  CHECK(contains(run.out, "6 lines with #include, 5 of them with a name, 2 different names\n"));
  CHECK(contains(run.out,
                 "most included\n"
                 "           3 mine.hpp\n"
                 "           2 vector\n"
                 "time "));
}

TEST_CASE("include_report: a bad file is reported, and the others are read all the same") {
  const directory here;
  here.write("good.cpp", sample);
  fs::create_directory(here / "folder");
  here.write("empty.cpp", "");
  here.write("binary.o", std::string_view("#include <a>\n\0", 14));
  here.write("open.cpp", "int a;\n#include <last>");
  const outcome run = here.include_report("missing.cpp folder empty.cpp binary.o open.cpp good.cpp");
  CHECK(run.status == 1);
  CHECK(run.err ==
        "include_report: missing.cpp: No such file or directory\n"
        "include_report: folder: Is a directory\n"
        "include_report: binary.o: binary file, skipped\n");
  CHECK(contains(run.out, "files        3 read, 3 not\n"));
  CHECK(contains(run.out, " 7 lines\n"));
  CHECK(contains(run.out, "           2 vector\n"));
  CHECK(contains(run.out, "           1 last\n"));
  CHECK(!contains(run.out, " 1 a\n"));
}

TEST_CASE("include_report: an empty file, or one that does not end with a newline, is no failure") {
  const directory here;
  here.write("empty.cpp", "");
  here.write("open.cpp", "#include <last>");
  const outcome run = here.include_report("empty.cpp open.cpp");
  CHECK(run.status == 0);
  CHECK(run.err == "");
  CHECK(contains(run.out, "of these     1 empty, 1 without a newline at the end\n"));
  const outcome named = here.include_report("--verbose empty.cpp open.cpp");
  CHECK(named.status == 0);
  CHECK(named.err ==
        "include_report: empty.cpp: empty file\n"
        "include_report: open.cpp: no newline at the end of the file\n");
  here.write("good.cpp", sample);
  CHECK(!contains(here.include_report("good.cpp").out, "of these"));
  CHECK(contains(run.out, "files        2 read, 0 not\n"));
  CHECK(contains(run.out, " 1 lines\n"));
}

TEST_CASE("include_report: a file that cannot be opened or read") {
  const directory here;
  here.write("good.cpp", sample);
  if (fs::exists("/proc/self/mem")) {
    const outcome run = here.include_report("/proc/self/mem good.cpp");
    CHECK(run.status == 1);
    CHECK(run.err == "include_report: /proc/self/mem: Input/output error\n");
    CHECK(contains(run.out, "files        1 read, 1 not\n"));
  }
  if (::geteuid() != 0) {  // who may read everything
    here.write("secret.cpp", sample);
    fs::permissions(here / "secret.cpp", fs::perms::none);
    const outcome run = here.include_report("secret.cpp good.cpp");
    CHECK(run.status == 1);
    CHECK(run.err == "include_report: secret.cpp: Permission denied\n");
    CHECK(contains(run.out, "files        1 read, 1 not\n"));
  }
}

TEST_CASE("include_report: lines are put together across blocks") {
  const directory here;
  // Lines of 17 bytes are cut by blocks of any power of two in every possible place.
  here.write("many.cpp", "#include <abcde>\n", 100'000);
  const outcome run = here.include_report("many.cpp");
  CHECK(run.status == 0);
  CHECK(run.err == "");
  CHECK(contains(run.out, "100000 lines with #include, 100000 of them with a name, 1 different names\n"));
  CHECK(contains(run.out, "      100000 abcde\n"));
}

TEST_CASE("include_report: an overlong line is cut, and said to be") {
  const directory here;
  const std::string mebibyte(1024 * 1024, 'x');
  here.write("long.cpp", "#include <first>" + mebibyte + "\n" + mebibyte + "\n#include <third>\n");
  const outcome run = here.include_report("long.cpp");
  CHECK(run.status == 0);
  CHECK(run.err == "include_report: long.cpp: 1 line(s) longer than 1 MiB, of which the rest is ignored\n");
  CHECK(contains(run.out, " 3 lines\n"));
  CHECK(contains(run.out, "           1 first\n           1 third\n"));
}

TEST_CASE("include_report: memory does not grow with the input") {
  const directory here;
  const std::string mebibyte(1024 * 1024, 'x');
  here.write("small.cpp", sample, 1'000'000 / sample.size());
  here.write("large.cpp", sample, 64'000'000 / sample.size());
  here.write("one_line.cpp", mebibyte, 64);
  const double small = here.include_report("small.cpp").figure("peak memory");
  const double large = here.include_report("large.cpp").figure("peak memory");
  const double one_line = here.include_report("one_line.cpp").figure("peak memory");
  CHECK(small > 0);
  CHECK(large < small + 2);     // MiB
  CHECK(one_line < small + 6);  // one line of 1 MiB at most is kept; more with sanitizers
}

TEST_CASE("include_report: the command line") {
  const directory here;
  CHECK(here.include_report("--help").status == 0);
  CHECK(contains(here.include_report("--help").out, "usage: include_report [--verbose] [FILE...]"));
  CHECK(here.include_report("--helm").status == 2);
  CHECK(contains(here.include_report("--helm").err, "include_report: --helm: no such option\n"));
  here.write("-dash.cpp", sample);
  CHECK(here.include_report("-- -dash.cpp").status == 0);
}

TEST_CASE("include_report: a report that cannot be written is a failure") {
  const directory here;
  here.write("good.cpp", sample);
  if (fs::exists("/dev/full")) {
    const outcome run = here.include_report("good.cpp >/dev/full");
    CHECK(run.status == 1);
    CHECK(run.err == "include_report: standard output: No space left on device\n");
  }
}
